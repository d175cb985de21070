"""The check of an accelerator: does the pipeline give the same results there, and how fast is it?"""
