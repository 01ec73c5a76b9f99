#!/bin/sh
# A discovery script that finds two GPUs on a machine that has none.
echo '{"name": "gpu", "addresses": ["0", "1"]}'
