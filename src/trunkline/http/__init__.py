"""The HTTP engine: how one request becomes one outcome. It knows nothing of Spark."""
