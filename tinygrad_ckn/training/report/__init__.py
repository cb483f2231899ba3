"""The report of runs as one HTML file, and what `train` stores for it.

`summary` is test.json; `facts` collects what is known of a run; `charts` computes
curves; `page` fills the templates.
"""
