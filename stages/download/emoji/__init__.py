"""The emoji corpus: drawings of people with exact attributes, and neutral objects, by several independent artists.

``packages`` fetches the art, ``people`` says who is on a picture, ``icons`` rasterises, ``scenes`` varies, ``captions``
describes, ``corpus`` draws the training set, ``benchmarks`` the evaluation sets.
"""
