"""Production: code requests, relation files, activation, repacking and replacing (R-A3, R-A5, R-A8, R-X8).

Doors: `relation` (pure: read and validate a 关联关系 file), `activation` (all or nothing per file), `requests` (ask
for codes, download them, `whose`), `uploads` (resumable), `packing` (replace, repack, pack, unpack, void).
"""
