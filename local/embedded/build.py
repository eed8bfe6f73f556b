"""Names, sizes and offsets of the one build of libmesos that we load.

They come from its symbols and the machine code of ``local::launch`` (docs/embedded-mesos.md).
Another build needs another table: the sha256 of the patched file is pinned for that reason.
"""

# sha256 of the library after the patch, and the name it has in a cache.
LIBRARY_NAME = "libmesos.so"
LIBRARY_SHA256 = "b4c42eac577d6262d868c65cbb4d3d3ba6ff60595965bc464f4496a99d428395"

STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"  # std::string, mangled
OPTION_STRING = "6OptionI" + STRING + "E"

SIZE_MASTER_FLAGS, SIZE_AGENT_FLAGS, SIZE_LOGGING_FLAGS = 0xCE0, 0x1450, 0x140
SIZE_MASTER, SIZE_AGENT = 0x1A20, 0x24A0
MASTER_FLAGS_ACLS, AGENT_FLAGS_ACLS = 0x260, 0x788  # Option<ACLs> in the flags
MASTER_INFO = 0xE88  # MasterInfo in Master
SUBCOMMAND_FLAGS = 0xE0  # sizeof(Subcommand): its flags follow
SMALL = 64  # holds any object that is a vtable and some pointers

MASTER_REALMS = ("mesos-master-readwrite", "mesos-master-readonly")
AGENT_REALMS = ("mesos-agent-readwrite", "mesos-agent-readonly")

CREATE_DETECTOR = (
    f"_ZN5mesos6master8detector14MasterDetector6createERK{OPTION_STRING}SC_RKS3_I8DurationE"
)
CREATE_CONTENDER = (
    f"_ZN5mesos6master9contender15MasterContender6createERK{OPTION_STRING}SC_RKS3_I8DurationE"
)
CONTAINERIZER = (
    "_ZN5mesos8internal5slave13Containerizer6createERKNS1_5FlagsEbPNS1_7FetcherEPNS1_16Garbage"
    "CollectorEPNS_14SecretResolverEPNS1_16VolumeGidManagerEPNS0_20PendingFutureTrackerEPNS1_9"
    "CSIServerE"
)
SLAVE = (
    f"_ZN5mesos8internal5slave5SlaveC1ERK{STRING}RKNS1_5FlagsEPNS_6master8detector14Master"
    "DetectorEPNS1_13ContainerizerEPNS0_5FilesEPNS1_16GarbageCollectorEPNS1_23TaskStatusUpdate"
    "ManagerEPNS_5slave17ResourceEstimatorEPNSQ_13QoSControllerEPNS_15SecretGeneratorEPNS1_16"
    "VolumeGidManagerEPNS0_20PendingFutureTrackerEON7process5OwnedINS1_9CSIServerEEERK6Option"
    "INS11_7network8internal6SocketINS17_4unix7AddressEEEERKS16_IPNS_10AuthorizerEE"
)
MASTER = (
    "_ZN5mesos8internal6master6MasterC1EPNS_9allocator9AllocatorEPNS1_9RegistrarEPNS0_5FilesE"
    "PNS_6master9contender15MasterContenderEPNSA_8detector14MasterDetectorERK6OptionIPNS_10"
    "AuthorizerEERKSH_ISt10shared_ptrIN7process11RateLimiterEEERKNS1_5FlagsE"
)
ALLOCATOR = (
    "_ZN5mesos8internal6master9allocator14MesosAllocatorINS2_28HierarchicalAllocatorProcess"
    "INS2_9DRFSorterES5_EEEC1Ev"
)
LOG_WITH_ZOOKEEPER = (
    f"_ZN5mesos3log3LogC1EiRK{STRING}S9_RK8DurationS9_RK6OptionIN9zookeeper14AuthenticationEE"
    "bRKSD_IS7_E"
)
LOG_ALONE = (
    f"_ZN5mesos3log3LogC1EiRK{STRING}RKSt3setIN7process4UPIDESt4lessISC_ESaISC_EEbRK6OptionIS7_E"
)
REGISTRAR = "_ZN5mesos8internal6master9RegistrarC1ERKNS1_5FlagsEPNS_5state5StateERK" + OPTION_STRING
APPOINT = "_ZN5mesos6master8detector24StandaloneMasterDetector7appointERK6OptionINS_10MasterInfoEE"
SET_CALLBACKS = (
    f"_ZN7process4http13authorization12setCallbacksERK7hashmapI{STRING}St8functionIFNS_6Future"
    "IbEENS0_7RequestE6OptionINS0_14authentication9PrincipalEEEESt4hashIS8_ESt8equal_toIS8_EE"
)
