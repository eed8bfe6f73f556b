"""The commands of ``esaas``, one module for each kind; ``framework.cli`` joins them."""
