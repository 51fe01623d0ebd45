"""What the families of pyspark.ml share: rows as Spark's vectors, one training, saved trees read as arrays."""
