"""The try-on network: image layers of M&M VTO's kind, inflated in time as Fashion-VDM does."""
