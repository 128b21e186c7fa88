#!/usr/bin/env python3
"""kafkajs as a client: what a Node program would do in its first week."""

from javascript import require, run_client
from scenario import Scenario

modules = require("kafkajs", "2.2.4", (14, 0, 0))
with Scenario() as s:
    node = s.node()
    node.start()
    run_client(s, "kafkajs_client.js", modules, node.address)
    with s.test("the node stops in an orderly way"):
        assert node.terminate() == 0
