"""Executors: who runs the shards. Each calls `zeroiqa.runs.stages.run_shard`; none changes a result."""
