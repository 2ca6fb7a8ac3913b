#!/usr/bin/env python3
"""A host with a port is the same host: clients send both forms.

Any executable file in this folder is a check. It finds what it needs in its
environment (CONVOY_ADMIN_URL, CONVOY_LISTENERS, CONVOY_STAGE, CONVOY_GROUP,
CONVOY_ENVOY_VERSION); what it prints is shown when it fails.
"""
import http.client
import os
import sys

HOSTS = {"beta": "api.beta.example.com", "staging": "api.staging.example.com"}


def main() -> int:
    listeners = dict(
        entry.split("=", 1) for entry in os.environ["CONVOY_LISTENERS"].split(",") if entry
    )
    if "front" not in listeners:
        return 0  # A group without a front listener has nothing to answer.
    host = HOSTS.get(os.environ["CONVOY_STAGE"], "api.example.com")
    connection = http.client.HTTPConnection(listeners["front"], timeout=5)
    connection.request("GET", "/users/1", headers={"Host": f"{host}:10000"})
    status = connection.getresponse().status
    if status != 200:
        print(f"GET /users/1 with the host {host}:10000 answered {status}, not 200")
        return 1
    return 0


sys.exit(main())
