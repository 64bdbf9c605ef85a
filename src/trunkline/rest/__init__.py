"""Any REST API as a Spark data source: `format("rest")`."""
