"""Kubernetes, over the HTTP API of its API server: objects are plain dicts.

`cluster.py` is what callers use, `kinds.py` names the kinds. `kubeconfig.py` reads the files of
kubectl, `entry.py` checks their fields into the values of `context.py`; `credentials.py` and
`exec_plugin.py` say who asks, `tls.py` whom to trust; `transport.py` speaks HTTP and `errors.py`
translates refusals; `listing.py`, `watching.py`, `logs.py` and `forward.py` are the parts that take
several requests or stream.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""
