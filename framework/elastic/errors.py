"""What errands on Elasticsearch raise."""
from __future__ import annotations

from ..core.errors import EsaasError


class ErrandFailed(EsaasError):
    """Elasticsearch did only a part of it."""
