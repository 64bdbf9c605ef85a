"""Configuration files, read into one tree that keeps lines and spelling, and from it into plain data.

    problems = Problems()
    root = read_hocon("job.conf", read_text, shown, dialect)
    data = resolved(root, os.environ, problems, dialect).data

`hocon.py` and `yaml.py` make the tree (`tree.py`), `resolving.py` makes plain data of it. What one use of them
understands otherwise than another is a `Dialect`: pipelines and jobs have one each.
"""
