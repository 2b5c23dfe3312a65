"""What can go wrong between a model's name and a ready engine."""


class EngineError(Exception):
    """Base of all errors of this package; its text is one line that names the mend."""


class ProvisionError(EngineError):
    """The model folder could not be made."""


class DownloadError(ProvisionError):
    """A download failed or its digest was wrong."""


class ModelFolderError(ProvisionError):
    """A folder does not hold a model that the engine and the judge can use."""
