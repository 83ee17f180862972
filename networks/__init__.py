"""The models; read aot.py first, then deaot.py, msdeaot.py, aost.py, paot.py and rmem.py, a file per paper."""
