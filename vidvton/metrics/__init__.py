"""Metrics: how steady, how true and how well dressed a try-on clip is. Tensors in, raw sums and counts out.

The contract (what `bench` builds on):

- `table.METRICS` lists every metric: name, unit, which way is better, per what, what it needs, its source and meaning.
- `series.Piece` is a run of consecutive frames: the output, the source, and what else is known (region, truth, exact flow,
  garment coordinates). A clip is any iterator of pieces, of any lengths; results do not depend on how it is cut.
- `measure.measure(pieces, names=..., ...) -> Measurement` reads the pieces once, in bounded memory, and measures the output and
  (sharing all flow) the source itself and any further videos in `Piece.also`.
- `series.Series` holds one metric of one video in one place (region, background, frame): raw sums and counts, one entry a frame
  or pair. `series.score` and `series.per_frame` aggregate, last.
- `series.NotMeasured` says what is missing; its `str` is the row's text ("not measured: needs FILE"). No stand-ins.
- Metrics over sets of clips (FID, KID, VFID, FVD) come out as `series.Features` per clip and video; `distribution.distance(name,
  features, reference)` compares two sets of them.
- `controls` makes the built-in controls from a source clip and knows which way each metric must move.

Everything is computed at the frames' own size; a metric that resizes (networks with a fixed input) says so in its docstring.
"""
