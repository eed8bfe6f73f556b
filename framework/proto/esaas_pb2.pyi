from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeLaunch(_message.Message):
    __slots__ = ("cluster", "tenant", "node", "incarnation", "launch", "distribution", "roles", "heap_mb", "jvm_options", "settings", "attributes", "awareness", "bind_host", "http_port", "transport_port", "data_path", "seeds", "bootstrap", "stop_timeout_s", "plugins", "files", "secure_settings", "paused", "sidecar", "tls")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecureSettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    HEAP_MB_FIELD_NUMBER: _ClassVar[int]
    JVM_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    AWARENESS_FIELD_NUMBER: _ClassVar[int]
    BIND_HOST_FIELD_NUMBER: _ClassVar[int]
    HTTP_PORT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_PORT_FIELD_NUMBER: _ClassVar[int]
    DATA_PATH_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    STOP_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SECURE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    SIDECAR_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    tenant: str
    node: str
    incarnation: int
    launch: int
    distribution: Distribution
    roles: _containers.RepeatedScalarFieldContainer[str]
    heap_mb: int
    jvm_options: _containers.RepeatedScalarFieldContainer[str]
    settings: _containers.ScalarMap[str, str]
    attributes: _containers.ScalarMap[str, str]
    awareness: _containers.RepeatedScalarFieldContainer[str]
    bind_host: str
    http_port: int
    transport_port: int
    data_path: str
    seeds: Seeds
    bootstrap: Bootstrap
    stop_timeout_s: int
    plugins: _containers.RepeatedCompositeFieldContainer[Plugin]
    files: _containers.RepeatedCompositeFieldContainer[ConfigFile]
    secure_settings: _containers.ScalarMap[str, str]
    paused: bool
    sidecar: Sidecar
    tls: Tls
    def __init__(self, cluster: _Optional[str] = ..., tenant: _Optional[str] = ..., node: _Optional[str] = ..., incarnation: _Optional[int] = ..., launch: _Optional[int] = ..., distribution: _Optional[_Union[Distribution, _Mapping]] = ..., roles: _Optional[_Iterable[str]] = ..., heap_mb: _Optional[int] = ..., jvm_options: _Optional[_Iterable[str]] = ..., settings: _Optional[_Mapping[str, str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., awareness: _Optional[_Iterable[str]] = ..., bind_host: _Optional[str] = ..., http_port: _Optional[int] = ..., transport_port: _Optional[int] = ..., data_path: _Optional[str] = ..., seeds: _Optional[_Union[Seeds, _Mapping]] = ..., bootstrap: _Optional[_Union[Bootstrap, _Mapping]] = ..., stop_timeout_s: _Optional[int] = ..., plugins: _Optional[_Iterable[_Union[Plugin, _Mapping]]] = ..., files: _Optional[_Iterable[_Union[ConfigFile, _Mapping]]] = ..., secure_settings: _Optional[_Mapping[str, str]] = ..., paused: _Optional[bool] = ..., sidecar: _Optional[_Union[Sidecar, _Mapping]] = ..., tls: _Optional[_Union[Tls, _Mapping]] = ...) -> None: ...

class Tls(_message.Message):
    __slots__ = ("ca", "certificate", "key", "password", "service_password")
    CA_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    SERVICE_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    ca: bytes
    certificate: bytes
    key: bytes
    password: str
    service_password: str
    def __init__(self, ca: _Optional[bytes] = ..., certificate: _Optional[bytes] = ..., key: _Optional[bytes] = ..., password: _Optional[str] = ..., service_password: _Optional[str] = ...) -> None: ...

class Plugin(_message.Message):
    __slots__ = ("name", "url", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    sha256: str
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class ConfigFile(_message.Message):
    __slots__ = ("path", "content", "url", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    content: bytes
    url: str
    sha256: str
    def __init__(self, path: _Optional[str] = ..., content: _Optional[bytes] = ..., url: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class Sidecar(_message.Message):
    __slots__ = ("command", "uris", "env", "listens")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    URIS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    LISTENS_FIELD_NUMBER: _ClassVar[int]
    command: str
    uris: _containers.RepeatedCompositeFieldContainer[Uri]
    env: _containers.ScalarMap[str, str]
    listens: bool
    def __init__(self, command: _Optional[str] = ..., uris: _Optional[_Iterable[_Union[Uri, _Mapping]]] = ..., env: _Optional[_Mapping[str, str]] = ..., listens: _Optional[bool] = ...) -> None: ...

class Uri(_message.Message):
    __slots__ = ("url", "sha256", "extract", "executable")
    URL_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    EXTRACT_FIELD_NUMBER: _ClassVar[int]
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    url: str
    sha256: str
    extract: bool
    executable: bool
    def __init__(self, url: _Optional[str] = ..., sha256: _Optional[str] = ..., extract: _Optional[bool] = ..., executable: _Optional[bool] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("version", "url", "sha256")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    version: str
    url: str
    sha256: str
    def __init__(self, version: _Optional[str] = ..., url: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class Seeds(_message.Message):
    __slots__ = ("addresses", "generation", "http_urls", "log_urls")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    HTTP_URLS_FIELD_NUMBER: _ClassVar[int]
    LOG_URLS_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    generation: int
    http_urls: _containers.RepeatedScalarFieldContainer[str]
    log_urls: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, addresses: _Optional[_Iterable[str]] = ..., generation: _Optional[int] = ..., http_urls: _Optional[_Iterable[str]] = ..., log_urls: _Optional[_Iterable[str]] = ...) -> None: ...

class Bootstrap(_message.Message):
    __slots__ = ("initial_master_nodes", "minimum_master_nodes", "expected_data_nodes", "recover_after_data_nodes")
    INITIAL_MASTER_NODES_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_MASTER_NODES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_DATA_NODES_FIELD_NUMBER: _ClassVar[int]
    RECOVER_AFTER_DATA_NODES_FIELD_NUMBER: _ClassVar[int]
    initial_master_nodes: _containers.RepeatedScalarFieldContainer[str]
    minimum_master_nodes: int
    expected_data_nodes: int
    recover_after_data_nodes: int
    def __init__(self, initial_master_nodes: _Optional[_Iterable[str]] = ..., minimum_master_nodes: _Optional[int] = ..., expected_data_nodes: _Optional[int] = ..., recover_after_data_nodes: _Optional[int] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("phase", "es_node_id", "http_address", "transport_address", "pid", "version", "exit_code", "log_tail", "reason")
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[NodeStatus.Phase]
        PREPARING: _ClassVar[NodeStatus.Phase]
        STARTING: _ClassVar[NodeStatus.Phase]
        SERVING: _ClassVar[NodeStatus.Phase]
        STOPPING: _ClassVar[NodeStatus.Phase]
        EXITED: _ClassVar[NodeStatus.Phase]
        PAUSED: _ClassVar[NodeStatus.Phase]
    UNKNOWN: NodeStatus.Phase
    PREPARING: NodeStatus.Phase
    STARTING: NodeStatus.Phase
    SERVING: NodeStatus.Phase
    STOPPING: NodeStatus.Phase
    EXITED: NodeStatus.Phase
    PAUSED: NodeStatus.Phase
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ES_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    HTTP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    LOG_TAIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    phase: NodeStatus.Phase
    es_node_id: str
    http_address: str
    transport_address: str
    pid: int
    version: str
    exit_code: int
    log_tail: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, phase: _Optional[_Union[NodeStatus.Phase, str]] = ..., es_node_id: _Optional[str] = ..., http_address: _Optional[str] = ..., transport_address: _Optional[str] = ..., pid: _Optional[int] = ..., version: _Optional[str] = ..., exit_code: _Optional[int] = ..., log_tail: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ToExecutor(_message.Message):
    __slots__ = ("seeds",)
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    seeds: Seeds
    def __init__(self, seeds: _Optional[_Union[Seeds, _Mapping]] = ...) -> None: ...

class FromExecutor(_message.Message):
    __slots__ = ("node", "seeds_generation")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SEEDS_GENERATION_FIELD_NUMBER: _ClassVar[int]
    node: str
    seeds_generation: int
    def __init__(self, node: _Optional[str] = ..., seeds_generation: _Optional[int] = ...) -> None: ...
