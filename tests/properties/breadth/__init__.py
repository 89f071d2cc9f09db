"""What the property tests over the whole catalogue declare: one module a domain, found by its name alone.

Each module has `strategies() -> {type name: strategy of {label: attributes}}`; a singleton's label is "". Attributes
are as the configuration would hand them on: references as address text, secrets as `SecretRef("env:…")`. Each value is
valid by itself; what does not fit together (a port group on a vSwitch that is not there) is taken out by
`tests.support.breadth`.
"""
