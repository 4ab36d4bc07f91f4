//! Re-checks a stored history from its first block: signatures, certificates, codes, roots.
