"""Reading model repositories of the Hugging Face Hub, or of a server that speaks its protocol.

`hub.py` says where the hub is and who asks, by the variables of the hub's own client;
`repository.py` reads one repository over HTTP, `local_cache.py` what the hub's own client keeps of
it on this machine.
"""
