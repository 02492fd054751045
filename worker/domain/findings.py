from worker.domain.failures import *


def finding(code, *, seen="", stages=(), ldapsearch="", egress=(), **f):
    return Finding(code, Stage.READ, code, seen, (), "", Retry.LATER, ldapsearch, stages)
