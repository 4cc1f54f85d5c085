def init(*args, **kwargs):
    print("init", args, sorted(kwargs.items()))


def main(*args, **kwargs):
    print("main", args, sorted(kwargs.items()))
