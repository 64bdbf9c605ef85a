"""One bucket, one token, one view for a whole query: the coordinator and what its workers know of it.

    leases        who may send how many requests: pure, without clock or socket
    leased_rate   the same, on the worker's side
    progress      what all tasks have done so far
    hub           what a call of a worker means: all of the above behind one function
    certificate   the certificate that workers know by its fingerprint
    server        the hub behind HTTPS, in a thread
    channel       the wire to it, and whom it trusts
    outbox        what tasks tell and ask, until a call has carried it
    contact       whether it answers
    buckets       the rates that a worker's tasks keep to
    link          the worker's side: one per process
    links         where a process finds its own
    task          one task's part of it
    coordinator   what users start

The package is not called `coordinator`, because `trunkline.coordinator` is the function that starts one.
"""
