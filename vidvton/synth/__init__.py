"""The studio: procedurally made people who wear garments and move, filmed with everything known.

World frame: metres, right-handed, y up; a person who has not turned faces +z with their left hand at +x. Cameras look along
their own +z with x right and y down, so that pixels are (x, y) with centres at +0.5. Bodies, hair and garments are modelled as
signed-distance fields in one rest pose ("A": arms 45 degrees down), turned into triangles once, skinned to a skeleton per frame
and drawn by a z-buffer written in torch, so that colour, labels, flow and every other truth come from the same surface point.
"""
