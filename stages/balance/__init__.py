"""The mix at α, the weights that balance its moments, and the rows they select.

``mixing`` says which source each key has, and counts its distinct rows (s, y, u) out of core; ``moments`` turns counts
into a ``problem``; ``feasibility`` finds the largest share that can be kept, ``solver`` the weights, ``baselines`` what
to compare them with; ``selection`` turns weights into numbers of copies; ``report`` says what changed.
"""
