"""Writes what an Envoy knows and our descriptors lack as `.proto` files.

The crate that brings Envoy's protos follows Envoy's releases with a delay. An
Envoy carries its own descriptors; `ci/releases --protos` has this file write
those that differ into `proto/`, which goes before the crate's. Comments are
lost on the way: nothing reads them.
"""

import pathlib

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

HEAD = "// From the descriptors of Envoy {version}, by `ci/releases --protos`.\n"
SCALARS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64",
           7: "fixed32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32", 15: "sfixed32",
           16: "sfixed64", 17: "sint32", 18: "sint64"}
REPEATED = 3


def write(folder, version, theirs, ours):
    """Writes the files of `theirs` that hold more than those of `ours`."""
    printer = Printer(theirs, ours)
    for file in theirs:
        path = pathlib.Path(folder) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD.format(version=version) + "".join(
            f"{line}\n" for line in printer.file(file)))


class Printer:
    """File descriptors as the language that they came from."""

    def __init__(self, theirs, ours):
        pool = descriptor_pool.DescriptorPool()
        files = {file.name: file for file in ours} | {file.name: file for file in theirs}
        added = set()

        def add(name):
            if name in added:
                return
            added.add(name)
            for needed in files[name].dependency:
                add(needed)
            pool.AddSerializedFile(files[name].SerializeToString())

        for name in files:
            add(name)
        message_factory.GetMessageClassesForFiles(sorted(files), pool)
        self.pool = pool

    def file(self, file):
        yield 'syntax = "proto3";'
        yield f"package {file.package};"
        public = set(file.public_dependency)
        for at, name in enumerate(file.dependency):
            yield f"import {'public ' if at in public else ''}\"{name}\";"
        for text in self.options(file.options, "FileOptions"):
            yield f"option {text};"
        for enum in file.enum_type:
            yield from self.enum(enum)
        for message in file.message_type:
            yield from self.message(message)
        for service in file.service:
            yield from self.service(service)

    def service(self, service):
        yield f"service {service.name} {{"
        for method in service.method:
            stream = lambda on: "stream " if on else ""
            yield (f"  rpc {method.name}({stream(method.client_streaming)}{method.input_type}) "
                   f"returns ({stream(method.server_streaming)}{method.output_type});")
        yield "}"

    def enum(self, enum):
        yield f"enum {enum.name} {{"
        for text in self.options(enum.options, "EnumOptions"):
            yield f"  option {text};"
        yield from reserved(enum, 0)
        for value in enum.value:
            yield f"  {value.name} = {value.number}{self.listed(value.options, 'EnumValueOptions')};"
        yield "}"

    def message(self, message):
        yield f"message {message.name} {{"
        for text in self.options(message.options, "MessageOptions"):
            yield f"  option {text};"
        yield from reserved(message, 1)
        for enum in message.enum_type:
            yield from (f"  {line}" for line in self.enum(enum))
        maps = {one.name: one for one in message.nested_type if one.options.map_entry}
        for inner in message.nested_type:
            if inner.name not in maps:
                yield from (f"  {line}" for line in self.message(inner))
        for at, oneof in enumerate(message.oneof_decl):
            members = [one for one in message.field if one.HasField("oneof_index")
                       and one.oneof_index == at and not one.proto3_optional]
            if members:
                yield f"  oneof {oneof.name} {{"
                for text in self.options(oneof.options, "OneofOptions"):
                    yield f"    option {text};"
                yield from (f"    {self.field(one, maps)}" for one in members)
                yield "  }"
        for field in message.field:
            if not field.HasField("oneof_index") or field.proto3_optional:
                yield f"  {self.field(field, maps)}"
        yield "}"

    def field(self, field, maps):
        entry = maps.get(field.type_name.rsplit(".", 1)[-1])
        if entry is not None:
            key, value = entry.field
            kind = f"map<{kind_of(key)}, {kind_of(value)}>"
        else:
            word = "repeated " if field.label == REPEATED else ""
            word = "optional " if field.proto3_optional else word
            kind = f"{word}{kind_of(field)}"
        options = self.listed(field.options, "FieldOptions")
        return f"{kind} {field.name} = {field.number}{options};"

    def listed(self, options, kind):
        texts = list(self.options(options, kind))
        return f" [{', '.join(texts)}]" if texts else ""

    def options(self, options, kind):
        """Each option as `name = value`, those of annotations too."""
        kind = self.pool.FindMessageTypeByName(f"google.protobuf.{kind}")
        message = message_factory.GetMessageClass(kind).FromString(options.SerializeToString())
        for field, value in message.ListFields():
            name = f"({field.full_name})" if field.is_extension else field.name
            if field.message_type is not None:
                yield f"{name} = {{{text_format.MessageToString(value, as_one_line=True)}}}"
            elif field.enum_type is not None:
                yield f"{name} = {field.enum_type.values_by_number[value].name}"
            elif isinstance(value, str):
                yield f"{name} = \"{text_format.text_encoding.CEscape(value, True)}\""
            else:
                yield f"{name} = {str(value).lower()}"


def kind_of(field):
    return SCALARS.get(field.type, field.type_name)


def reserved(owner, beyond):
    """`beyond` is how far the end of a range lies behind its last number."""
    for one in owner.reserved_range:
        last = one.end - beyond
        yield f"  reserved {one.start};" if last == one.start else f"  reserved {one.start} to {last};"
    for name in owner.reserved_name:
        yield f"  reserved \"{name}\";"
