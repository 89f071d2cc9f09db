"""The midwife as a service: one process per site serves boot files, takes births, and keeps the states of its fleets.

```
DIR/lock                   held while a midwife runs there; says by whom
DIR/identity/              the birth listener's key, the API's authority and who was enrolled
DIR/boot/                  what stands staged per MAC, of all fleets; access.jsonl
DIR/midwife/               births of all fleets
DIR/images/                the image store; uploads/FLEET/DIGEST/ are unfinished ones
DIR/macs.json              which MAC belongs to which fleet
DIR/fleets/NAME/           state, journals, lease of one fleet
```
"""
