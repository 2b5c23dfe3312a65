"""Maps from the judge's distributions to scores on the raters' scale, with intervals of measured coverage."""
