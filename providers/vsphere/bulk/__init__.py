"""Bulk answers of the property collector, read as they arrive: pyVmomi's own objects, built many times faster.

`stub` sends the request and streams the answer, `answer` cuts it into hosts and properties, `build` makes objects of
what was not seen before, `known` keeps what was. Whatever is unusual is read by pyVmomi itself, piece by piece: so the
values are the ones that pyVmomi gives, by construction.
"""
