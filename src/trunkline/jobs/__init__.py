"""Job platforms: rows become job runs, and runs are rows to read and to follow.

    df.write.format("jobs").mode("append").option("platform", "glue").save()
    spark.read.format("jobs").option("platform", "glue").option("since", "1d").load()

A job is a module with `main(**kwargs)`, and runs unchanged on every platform:

    python -m trunkline.jobs --module_name=my_project.etl --etl='{"input_path": "s3://..."}'

`AbstractJob` and `AbstractJobFactory` give it a shape. None of this needs Spark 4, but for the format.
"""
