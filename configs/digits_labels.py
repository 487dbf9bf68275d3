"""scikit-learn's digits, each density conditional on the class: the model and the steps of `digits`.

Expected: TODO bits/dim on the test split.
"""

from configs import digits


def get_config():
    """The config of digits, conditional on the label."""
    config = digits.get_config()
    config.dataset.context = "label"
    return config
