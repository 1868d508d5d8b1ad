"""The hand-written messages against the generated classes of the protocol."""

from __future__ import annotations

from google.protobuf import descriptor_pb2
from tritonclient.grpc import service_pb2

from cloche.targets.local.envoy import protobuf


def test_descriptors_name_the_real_methods_and_the_real_naming_field() -> None:
    described = descriptor_pb2.FileDescriptorSet.FromString(protobuf.descriptor_set()).file[0]
    real = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert f"{described.package}.{described.service[0].name}" == real.full_name == protobuf.SERVICE
    methods = {method.name: method for method in described.service[0].method}
    assert set(methods) == set(protobuf.NAME_FIELDS)
    messages = {message.name: message for message in described.message_type}
    for name, method in methods.items():
        of_protocol = real.methods_by_name[name]
        assert method.input_type == f".{of_protocol.input_type.full_name}"
        assert method.client_streaming == of_protocol.client_streaming
        assert method.server_streaming == of_protocol.server_streaming
        (field,) = messages[of_protocol.input_type.name].field
        of_message = of_protocol.input_type.fields_by_name[protobuf.NAME_FIELDS[name]]
        assert (field.name, field.number, field.type) == (
            of_message.name,
            of_message.number,
            of_message.type,
        )


def test_answers_about_the_server_are_what_clients_decode() -> None:
    live = protobuf.live_or_ready_response()
    assert service_pb2.ServerLiveResponse.FromString(live).live
    assert service_pb2.ServerReadyResponse.FromString(live).ready
    written = protobuf.server_metadata_response("cloche", "1.2.3", ("a", "b" * 300))
    answer = service_pb2.ServerMetadataResponse.FromString(written)
    assert (answer.name, answer.version) == ("cloche", "1.2.3")
    assert list(answer.extensions) == ["a", "b" * 300]
