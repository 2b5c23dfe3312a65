"""The gate's deterministic refusals: what a rewrite may not say, lose or become. Functions over text, no model."""
