"""HDF5 files as Keras writes them: read here, byte by byte, and written through h5py.

The HDF5 library (1.14) trusts what it reads: single flipped bits in lists of free space, in heaps of text and in
lengths of text make it loop without an end, allocate gigabytes or write beyond a buffer. So a file of unknown origin is
never given to it. What Keras never writes is refused, with the command that turns it into what is read.
"""
