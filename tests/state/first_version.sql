BEGIN TRANSACTION;
CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        service TEXT NOT NULL,
        revision INTEGER,
        kind TEXT NOT NULL,
        what TEXT NOT NULL,
        by TEXT NOT NULL,
        detail TEXT NOT NULL
    );
INSERT INTO "events" VALUES(1,'2026-11-01T12:00:00.000+00:00','digits',1,'deployed','Revision 1 was asked for: ./a.onnx','someone@here','{"digest":"sha256:36b87f67ced258bc50d306a21c5dab09907d5dbb7a73772c5855ca633e882543","model":"sha256:eb48338d95f760490d17bc91e6e8bab618f7a6636f6bf64e1a45983322acf2e7"}');
INSERT INTO "events" VALUES(2,'2026-11-01T12:00:00.000+00:00','digits',1,'phase','Revision 1 is starting.','cloche','{"before":"pending","phase":"starting"}');
INSERT INTO "events" VALUES(3,'2026-11-01T12:00:00.000+00:00','digits',1,'phase','Revision 1 is verifying.','cloche','{"before":"starting","phase":"verifying"}');
INSERT INTO "events" VALUES(4,'2026-11-01T12:00:00.000+00:00','digits',1,'phase','Revision 1 is shifting.','cloche','{"before":"verifying","phase":"shifting"}');
INSERT INTO "events" VALUES(5,'2026-11-01T12:00:00.000+00:00','digits',1,'golden','Revision 1 has a golden request (generated).','cloche','{"kind":"generated"}');
INSERT INTO "events" VALUES(6,'2026-11-01T12:00:00.000+00:00','digits',1,'verified','Revision 1 answered its golden request rightly in 1.5 ms.','cloche','{"passed":true,"url":"http://127.0.0.1:1"}');
INSERT INTO "events" VALUES(7,'2026-11-01T12:00:00.000+00:00','digits',1,'phase','Revision 1 is live.','cloche','{"before":"shifting","phase":"live"}');
INSERT INTO "events" VALUES(8,'2026-11-01T12:00:00.000+00:00','digits',2,'deployed','Revision 2 was asked for: ./b.onnx','someone@here','{"digest":"sha256:8195ffa4c169e4ba4a639014a15922a2e383ff8dd9e8fed3ada89a641bd6af83","model":"sha256:149a38b677681665e7bb632d9b669cc8def5254b54fe47abd3f05ff33a0c3d57"}');
INSERT INTO "events" VALUES(9,'2026-11-01T12:00:00.000+00:00','digits',2,'phase','Revision 2 is starting.','cloche','{"before":"pending","phase":"starting"}');
INSERT INTO "events" VALUES(10,'2026-11-01T12:00:00.000+00:00','digits',2,'phase','Revision 2 is verifying.','cloche','{"before":"starting","phase":"verifying"}');
INSERT INTO "events" VALUES(11,'2026-11-01T12:00:00.000+00:00','digits',2,'phase','Revision 2 is shifting.','cloche','{"before":"verifying","phase":"shifting"}');
INSERT INTO "events" VALUES(12,'2026-11-01T12:00:00.000+00:00','digits',2,'golden','Revision 2 has a golden request (generated).','cloche','{"kind":"generated"}');
INSERT INTO "events" VALUES(13,'2026-11-01T12:00:00.000+00:00','digits',2,'verified','Revision 2 answered its golden request rightly in 1.5 ms.','cloche','{"passed":true,"url":"http://127.0.0.1:1"}');
INSERT INTO "events" VALUES(14,'2026-11-01T12:00:00.000+00:00','digits',1,'phase','Revision 1 is retired.','cloche','{"before":"live","phase":"retired"}');
INSERT INTO "events" VALUES(15,'2026-11-01T12:00:00.000+00:00','digits',2,'phase','Revision 2 is live.','cloche','{"before":"shifting","phase":"live"}');
INSERT INTO "events" VALUES(16,'2026-11-01T12:00:00.000+00:00','digits',3,'deployed','Revision 3 was asked for: ./c.onnx','someone@here','{"digest":"sha256:adbbcd1ff321995d2a7055dc49483a78944d325c98efb42827a2d7fff09ea599","model":"sha256:e66bdc0dbc8c63639d20d176e656f18ff04abaf7b60a2d7ce4b57260fb309c10"}');
INSERT INTO "events" VALUES(17,'2026-11-01T12:00:00.000+00:00','digits',3,'phase','Revision 3 failed: It answered wrongly.','cloche','{"before":"pending","phase":"failed"}');
INSERT INTO "events" VALUES(18,'2026-11-01T12:00:00.000+00:00','digits',NULL,'scaled','digits goes from 1 to 2 replicas.','me','{"before":{"replicas":1},"operated":{"replicas":2}}');
INSERT INTO "events" VALUES(19,'2026-11-01T12:00:00.000+00:00','gone',1,'deployed','Revision 1 was asked for: ./a.onnx','someone@here','{"digest":"sha256:6db562e1daf714b9bd7488e600a056e35c7f70c6bde9011c466bedfc30f1d952","model":"sha256:eb48338d95f760490d17bc91e6e8bab618f7a6636f6bf64e1a45983322acf2e7"}');
INSERT INTO "events" VALUES(20,'2026-11-01T12:00:00.000+00:00','gone',1,'phase','Revision 1 is superseded.','someone@here','{"before":"pending","phase":"superseded"}');
INSERT INTO "events" VALUES(21,'2026-11-01T12:00:00.000+00:00','gone',2,'deployed','Revision 2 was asked for: ./b.onnx','someone@here','{"digest":"sha256:2891b95c61ab94bdd610bd9fd5d7af93373f62106f4d435a0bb92d1da527c325","model":"sha256:149a38b677681665e7bb632d9b669cc8def5254b54fe47abd3f05ff33a0c3d57"}');
INSERT INTO "events" VALUES(22,'2026-11-01T12:00:00.000+00:00','gone',2,'phase','Revision 2 is superseded.','someone@here','{"before":"pending","phase":"superseded"}');
INSERT INTO "events" VALUES(23,'2026-11-01T12:00:00.000+00:00','gone',3,'deployed','Revision 3 was asked for: ./c.onnx','someone@here','{"digest":"sha256:00d65bcdf6c31818d2c53c77a9e73cc6abbce3aeb8fae9a61084640314c718eb","model":"sha256:e66bdc0dbc8c63639d20d176e656f18ff04abaf7b60a2d7ce4b57260fb309c10"}');
INSERT INTO "events" VALUES(24,'2026-11-01T12:00:00.000+00:00','gone',3,'phase','Revision 3 is superseded.','someone@here','{"before":"pending","phase":"superseded"}');
INSERT INTO "events" VALUES(25,'2026-11-01T12:00:00.000+00:00','gone',4,'deployed','Revision 4 was asked for: ./d.onnx','someone@here','{"digest":"sha256:62eac83ae44ac66d1add0fa6130ab87de1ec5549e99ba41f6b026f5f1309dd61","model":"sha256:b87dbd5c6cfce36b59c4dbe76424cd341fe4b43b2b6a560f0118e3dae467da72"}');
INSERT INTO "events" VALUES(26,'2026-11-01T12:00:00.000+00:00','gone',4,'phase','Revision 4 is superseded.','me','{"before":"pending","phase":"superseded"}');
INSERT INTO "events" VALUES(27,'2026-11-01T12:00:00.000+00:00','gone',NULL,'deleting','gone is being deleted.','me','{}');
INSERT INTO "events" VALUES(28,'2026-11-01T12:00:00.000+00:00','gone',NULL,'deleted','gone is deleted.','cloche','{}');
CREATE TABLE numbers (
        service TEXT PRIMARY KEY,
        last INTEGER NOT NULL
    );
INSERT INTO "numbers" VALUES('digits',3);
INSERT INTO "numbers" VALUES('gone',4);
CREATE TABLE revisions (
        service TEXT NOT NULL,
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        deployment TEXT NOT NULL,
        created_at TEXT NOT NULL,
        phase TEXT NOT NULL,
        phase_since TEXT NOT NULL,
        golden TEXT,
        verification TEXT,
        failure TEXT,
        PRIMARY KEY (service, number)
    ) WITHOUT ROWID
    ;
INSERT INTO "revisions" VALUES('digits',1,'sha256:36b87f67ced258bc50d306a21c5dab09907d5dbb7a73772c5855ca633e882543','{"by":"someone@here","example":null,"facts":{"backend":"onnxruntime","batch":{"certainty":"certain","maximum":null,"present":true,"why":"it is dynamic"},"columns":false,"findings":[],"format":"onnx","framework":"onnx","inputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"memory_bytes":null,"operators":{},"opsets":{},"outputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"python":null,"requirements":[],"size_bytes":1,"unsupported_operators":[]},"lock":null,"operated":{"replicas":1},"repository":{"backend":"onnxruntime","digest":"sha256:82d7a5fe0c7103219065a4fa300922014d9c5a593157789d0b3cadab770333f8","files":[{"digest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","path":"digits/1/model.onnx","size":1}],"findings":[],"inputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"lock_digest":null,"max_batch_size":8,"models":["digits"],"outputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"reasons":[],"service":"digits"},"served":{"batching":{"max_queue_delay":"1ms"},"instances":1},"service":"digits","snapshot":{"digest":"sha256:eb48338d95f760490d17bc91e6e8bab618f7a6636f6bf64e1a45983322acf2e7","entry":"model.onnx","files":[{"digest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","path":"model.onnx","size":1}],"format":"onnx","metadata":{"flavors":[],"input_example":null,"metrics":{},"parameters":{},"python":null,"requirements":[],"run_id":null,"signature":null,"tags":{}},"pinned":"/models/a.onnx","reference":"./a.onnx","source":"files","version":null}}','2026-11-01T12:00:00.000+00:00','retired','2026-11-01T12:00:00.000+00:00','{"expected":null,"kind":"generated","request":{"digest":"sha256:1f5087db919ced5c123c7f507d3fcce818cb0cf6e77c2f95a8a35e951e03fdb9","header_length":8}}','{"at":"2026-11-01T12:00:00+00:00","detail":null,"duration_ms":1.5,"kind":"generated","outputs":[],"passed":true,"url":"http://127.0.0.1:1"}',NULL);
INSERT INTO "revisions" VALUES('digits',2,'sha256:8195ffa4c169e4ba4a639014a15922a2e383ff8dd9e8fed3ada89a641bd6af83','{"by":"someone@here","example":null,"facts":{"backend":"onnxruntime","batch":{"certainty":"certain","maximum":null,"present":true,"why":"it is dynamic"},"columns":false,"findings":[],"format":"onnx","framework":"onnx","inputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"memory_bytes":null,"operators":{},"opsets":{},"outputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"python":null,"requirements":[],"size_bytes":1,"unsupported_operators":[]},"lock":null,"operated":{"replicas":1},"repository":{"backend":"onnxruntime","digest":"sha256:fba794cdc6b010ecbe8b75eb78c45f177bee731f3da7db05bf75f42bbf4e7f93","files":[{"digest":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","path":"digits/1/model.onnx","size":1}],"findings":[],"inputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"lock_digest":null,"max_batch_size":8,"models":["digits"],"outputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"reasons":[],"service":"digits"},"served":{"batching":{"max_queue_delay":"1ms"},"instances":1},"service":"digits","snapshot":{"digest":"sha256:149a38b677681665e7bb632d9b669cc8def5254b54fe47abd3f05ff33a0c3d57","entry":"model.onnx","files":[{"digest":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","path":"model.onnx","size":1}],"format":"onnx","metadata":{"flavors":[],"input_example":null,"metrics":{},"parameters":{},"python":null,"requirements":[],"run_id":null,"signature":null,"tags":{}},"pinned":"/models/b.onnx","reference":"./b.onnx","source":"files","version":null}}','2026-11-01T12:00:00.000+00:00','live','2026-11-01T12:00:00.000+00:00','{"expected":null,"kind":"generated","request":{"digest":"sha256:1f5087db919ced5c123c7f507d3fcce818cb0cf6e77c2f95a8a35e951e03fdb9","header_length":8}}','{"at":"2026-11-01T12:00:00+00:00","detail":null,"duration_ms":1.5,"kind":"generated","outputs":[],"passed":true,"url":"http://127.0.0.1:1"}',NULL);
INSERT INTO "revisions" VALUES('digits',3,'sha256:adbbcd1ff321995d2a7055dc49483a78944d325c98efb42827a2d7fff09ea599','{"by":"someone@here","example":null,"facts":{"backend":"onnxruntime","batch":{"certainty":"certain","maximum":null,"present":true,"why":"it is dynamic"},"columns":false,"findings":[],"format":"onnx","framework":"onnx","inputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"memory_bytes":null,"operators":{},"opsets":{},"outputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"python":null,"requirements":[],"size_bytes":1,"unsupported_operators":[]},"lock":null,"operated":{"replicas":1},"repository":{"backend":"onnxruntime","digest":"sha256:71cc7012b685ab1b02356bc99b134fa7b5ac7d46956325ab39df2aae4efbb5e9","files":[{"digest":"sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6","path":"digits/1/model.onnx","size":1}],"findings":[],"inputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"lock_digest":null,"max_batch_size":8,"models":["digits"],"outputs":[{"datatype":"FP32","labels":[],"name":"x","optional":false,"shape":[-1,4]}],"reasons":[],"service":"digits"},"served":{"batching":{"max_queue_delay":"1ms"},"instances":1},"service":"digits","snapshot":{"digest":"sha256:e66bdc0dbc8c63639d20d176e656f18ff04abaf7b60a2d7ce4b57260fb309c10","entry":"model.onnx","files":[{"digest":"sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6","path":"model.onnx","size":1}],"format":"onnx","metadata":{"flavors":[],"input_example":null,"metrics":{},"parameters":{},"python":null,"requirements":[],"run_id":null,"signature":null,"tags":{}},"pinned":"/models/c.onnx","reference":"./c.onnx","source":"files","version":null}}','2026-11-01T12:00:00.000+00:00','failed','2026-11-01T12:00:00.000+00:00',NULL,NULL,'{"code":"rollout.verification","what":"It answered wrongly."}');
CREATE TABLE services (
        name TEXT PRIMARY KEY,
        wanted INTEGER NOT NULL,
        live INTEGER,
        operated TEXT NOT NULL,
        deleting INTEGER NOT NULL DEFAULT 0
    );
INSERT INTO "services" VALUES('digits',3,2,'{"replicas":2}',0);
CREATE INDEX events_by_service ON events (service, sequence);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',28);
COMMIT;
PRAGMA user_version = 1;
