"""One bucket, one token, one view for a whole query: the coordinator and what its workers know of it.

    leases        who may send how many requests: pure, without clock or socket
    progress      what all tasks have done so far
    hub           what a call of a worker means: all of the above behind one function
    certificate   the certificate that workers know by its fingerprint
    server        the hub behind HTTPS, in a thread
    link          the worker's side: one per process
    coordinator   what users start

The package is not called `coordinator`, because `trunkline.coordinator` is the function that starts one.
"""
