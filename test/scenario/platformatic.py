#!/usr/bin/env python3
"""@platformatic/kafka as a client: the newest versions of the requests.

The release is the newest one that Node 20 runs."""

from javascript import require, run_client
from scenario import Scenario

modules = require("@platformatic/kafka", "1.35.0", (20, 19, 4))
with Scenario() as s:
    node = s.node()
    node.start()
    run_client(s, "platformatic_client.mjs", modules, node.address)
    with s.test("the node stops in an orderly way"):
        assert node.terminate() == 0
