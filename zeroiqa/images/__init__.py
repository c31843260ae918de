"""Images, from what a user names to pixels.

Find them: `find` turns arguments into `ImageRef`s (`ref`), which say where each image is. It walks folders
(`folders`, and `remote_folders` in a store), looks into tar archives (`archives`, `members`), reads lists
(`lists`, and `listed_paths` for where their paths lead) and standard input (`standard_input`). `sieve` and
`selection` choose what is wanted, and `passed_over` counts the rest.

Read them: `read` gets the bytes that an `ImageRef` stands for, and `first_bytes` says how many are needed.

Decode them: `decode` turns bytes into pixels under one policy, with `containers` and `formats/` for what
files say of themselves and `pixels` for the arithmetic. `decoder` does both, reading and decoding, within a
time limit, and `suspicion` says which files it hands to a process of its own. `opencv` imports OpenCV.
"""
