"""`plot`: what people look at. Scores of all seeds become metrics.json, tables, figures and one report."""
