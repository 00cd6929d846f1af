"""Commands around training; each is run as `python -m scripts.NAME`.

Importing this needs no package and any Python from 3.8 on, for the sake of `scripts.doctor`. Every
other command imports `runs` first, which names a missing package.
"""
