"""Makes `format("trunkline.rest")` work without registering anything: Spark imports modules of this name by itself."""
