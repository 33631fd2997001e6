# Find llhttp, the HTTP/1 parser, and give the target llhttp::llhttp.
#
# A system library (libllhttp-dev) wins. Else the generated C sources of the Debian package node-llhttp are
# compiled, always with LLHTTP_STRICT_MODE=1: its default build ends a message head at "\r\n\r" plus any
# byte, which lets a request be smuggled. Either way the headers are system headers to us.

find_path(LLHTTP_INCLUDE_DIR llhttp.h)
find_library(LLHTTP_LIBRARY NAMES llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
mark_as_advanced(LLHTTP_INCLUDE_DIR LLHTTP_LIBRARY LLHTTP_SOURCE_DIR LLHTTP_SOURCE_INCLUDE_DIR)

if(LLHTTP_INCLUDE_DIR AND LLHTTP_LIBRARY)
  set(llhttp_from "${LLHTTP_LIBRARY}")
  set(llhttp_header "${LLHTTP_INCLUDE_DIR}/llhttp.h")
elseif(LLHTTP_SOURCE_DIR AND LLHTTP_SOURCE_INCLUDE_DIR)
  set(llhttp_from "${LLHTTP_SOURCE_DIR}")
  set(llhttp_header "${LLHTTP_SOURCE_INCLUDE_DIR}/llhttp.h")
endif()

if(llhttp_header)
  set(llhttp_parts "")
  foreach(part IN ITEMS MAJOR MINOR PATCH)
    file(STRINGS "${llhttp_header}" line REGEX "#define LLHTTP_VERSION_${part} ")
    string(REGEX REPLACE "[^0-9]" "" number "${line}")
    list(APPEND llhttp_parts "${number}")
  endforeach()
  list(JOIN llhttp_parts "." llhttp_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(llhttp
  REQUIRED_VARS llhttp_from llhttp_header
  VERSION_VAR llhttp_VERSION
  REASON_FAILURE_MESSAGE "install libllhttp-dev, or node-llhttp on Debian 12")

if(llhttp_FOUND AND NOT TARGET llhttp::llhttp)
  if(LLHTTP_LIBRARY AND LLHTTP_INCLUDE_DIR)
    add_library(llhttp::llhttp UNKNOWN IMPORTED)
    set_target_properties(llhttp::llhttp PROPERTIES
      IMPORTED_LOCATION "${LLHTTP_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${LLHTTP_INCLUDE_DIR}")
  else()
    add_library(llhttp STATIC
      "${LLHTTP_SOURCE_DIR}/api.c"
      "${LLHTTP_SOURCE_DIR}/http.c"
      "${LLHTTP_SOURCE_DIR}/llhttp.c")
    target_include_directories(llhttp SYSTEM PUBLIC "${LLHTTP_SOURCE_INCLUDE_DIR}")
    target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
    target_compile_options(llhttp PRIVATE -w)
    dp_optimize_link(llhttp)
    add_library(llhttp::llhttp ALIAS llhttp)
  endif()
endif()
