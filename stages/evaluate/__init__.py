"""Evaluate: quality and bias of one model on the evaluation sets, exact, with intervals.

`embed` turns images and prompts into features, once; every other module is a pure function of arrays and tables, one
metric family each; `suite` says which metric is taken on which set; `catalogue` documents every key of `metrics.json`;
`published` repeats the published evaluation with its defects.

Shapes, in all modules: N images, T texts (captions), L labels (or classes), D feature width, G groups, B bootstrap
draws. Features are unit rows unless a docstring says otherwise. A value that is not defined (an empty group, a metric
that needs two groups and finds one) is NaN inside, and is left out of `metrics.json`.
"""
