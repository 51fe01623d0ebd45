"""The assets of a pipeline, one module per stage; `MLPipeline.assets` puts them together."""
