"""libmesos.so from ctypes: calls of C++ functions and the few C++ values they need.

The build has g++'s Itanium ABI. Every argument is a pointer, an integer or a bool; a class
returned by value comes back through a hidden first pointer (docs/embedded-mesos.md).
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from .build import OPTION_STRING
from .errors import EmbeddedError

SOME, NONE = 0, 1


class Library:
    """The loaded library, bound lazily: functions that nobody calls may be missing.

    Memory is zeroed and never freed: the objects live as long as the process, which ends with
    ``_exit``. Raises EmbeddedError when the file does not load.
    """

    def __init__(self, path: str) -> None:
        libc = self._libc = ctypes.CDLL(None)
        for name, result, arguments in (
            ("dlopen", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]),
            ("dlsym", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
            ("dlerror", ctypes.c_char_p, []),
            ("calloc", ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]),
        ):
            function = getattr(libc, name)
            function.restype, function.argtypes = result, arguments
        # RTLD_GLOBAL: code in the library looks up its own weak C++ symbols.
        self._handle = libc.dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_GLOBAL)
        if not self._handle:
            reason = libc.dlerror().decode()
            raise EmbeddedError(f"cannot load {path}: {reason} (see esaas local doctor)")

    def symbol(self, name: str) -> int:
        """Address of a symbol. Raises EmbeddedError when this build lacks it."""
        address = self._libc.dlsym(self._handle, name.encode())
        if not address:
            raise EmbeddedError(f"this build of the library has no symbol {name}")
        return int(address)

    def call(self, name: str, *arguments: Any, result: Any = ctypes.c_void_p) -> Any:
        """Call a C++ function whose arguments are all pointers, integers or bools."""
        kind = ctypes.CFUNCTYPE(result, *[ctypes.c_void_p] * len(arguments))
        return kind(self.symbol(name))(*arguments)

    def new(self, constructor: str, size: int, *arguments: Any) -> int:
        """Allocate and construct an object; its address."""
        at = self.memory(size)
        self.call(constructor, at, *arguments)
        return at

    def memory(self, size: int) -> int:
        """Zeroed memory; its address."""
        return int(self._libc.calloc(1, size))

    def read(self, address: int) -> int:
        """The 64-bit word at an address."""
        return int(ctypes.c_uint64.from_address(address).value)

    def write(self, address: int, value: int) -> None:
        """Set the 64-bit word at an address."""
        ctypes.c_uint64.from_address(address).value = value

    def state(self, option: int) -> int:
        """First member of Option<T> and Try<T>: SOME or NONE."""
        return int(ctypes.c_int.from_address(option).value)

    def string(self, text: str, at: int | None = None) -> int:
        """A std::string: pointer to the characters, length, then the capacity."""
        at = at or self.memory(32)
        data = text.encode()
        buffer = self.memory(len(data) + 16)
        ctypes.memmove(buffer, data, len(data))
        self.write(at, buffer)
        self.write(at + 8, len(data))
        self.write(at + 16, len(data))
        return at

    def text(self, at: int) -> str:
        """The characters of a std::string."""
        return ctypes.string_at(self.read(at), self.read(at + 8)).decode("utf-8", "replace")

    def none(self) -> int:
        """An Option<T> without a value, large enough for every T that we use."""
        option = self.memory(128)
        self.write(option, NONE)
        return option

    def some_string(self, text: str | None) -> int:
        """An Option<string>; None stays none."""
        if text is None:
            return self.none()
        option = self.memory(40)
        self.string(text, option + 8)
        return option

    def some_word(self, value: int) -> int:
        """An Option of a pointer or of a Duration, which is a count of nanoseconds."""
        option = self.memory(16)
        self.write(option + 8, value)
        return option

    def duration(self, nanoseconds: int) -> int:
        """A Duration."""
        at = self.memory(8)
        ctypes.c_int64.from_address(at).value = nanoseconds
        return at

    def tried(self, what: str, name: str, *arguments: Any) -> int:
        """Call a function that returns Try<T*>. Raises EmbeddedError with its message."""
        out = self.memory(64)
        self.call(name, out, *arguments)
        if self.state(out) != SOME:
            raise EmbeddedError(f"cannot create the {what}: {self.text(out + 24)}")
        return self.read(out + 8)

    def check_class(self, at: int, name: str) -> None:
        """A guard for a fixed offset: the object there must have the expected vtable."""
        if self.read(at) != self.symbol("_ZTV" + name) + 16:
            raise EmbeddedError(f"no {name} at the offset known for this build")

    def upcast(self, at: int, derived: str, base: str) -> int:
        """Address of a (virtual) base: libstdc++ finds it by the type information."""
        pointer = ctypes.c_void_p(at)
        found = self.call(
            "_ZNK10__cxxabiv117__class_type_info11__do_upcastEPKS0_PPv",
            self.symbol("_ZTI" + derived),
            self.symbol("_ZTI" + base),
            ctypes.addressof(pointer),
            result=ctypes.c_bool,
        )
        if not found or pointer.value is None:
            raise EmbeddedError(f"{base} is no base of {derived}")
        return pointer.value

    def load_flags(
        self, flags: int, derived: str, prefix: str, argv: list[str], unknown: bool = False
    ) -> list[str]:
        """FlagsBase::load from the command line and ``prefix``NAME variables; its warnings."""
        base = self.upcast(flags, derived, "N5flags9FlagsBaseE")
        array = (ctypes.c_char_p * (len(argv) + 1))(*[a.encode() for a in argv], None)
        out = self.memory(128)
        self.call(
            f"_ZN5flags9FlagsBase4loadERK{OPTION_STRING}iPKPKcbb",
            out, base, self.some_string(prefix), len(argv),
            ctypes.addressof(array), unknown, False,
        )  # fmt: skip
        if self.state(out) != SOME:  # vector<Warning> at 8, Option<Error> at 32
            raise EmbeddedError(f"flags: {self.text(out + 40)}")
        first, last = self.read(out + 8), self.read(out + 16)
        return [self.text(at) for at in range(first, last, 32)]

    def spawn(self, process: int, derived: str) -> int:
        """process::spawn; the address of its UPID, which the caller owns."""
        upid = self.memory(256)
        base = self.upcast(process, derived, "N7process11ProcessBaseE")
        self.call("_ZN7process5spawnEPNS_11ProcessBaseEb", upid, base, False)
        return upid
