"""The benchmark: anybody's try-on clips measured against their sources, methods compared, a report one can trust."""
