# dp_enable_hardening(): what a program that reads from the network is built with. Stack protector,
# fortified libc calls, PIE, read-only relocations bound at start. Fortify needs an optimizing build, and
# quarrels with the sanitizers' own interceptors, so Release only. There the folder of the build leaves no
# trace, either: sources go by their places in the repository.

include(CheckPIESupported)
include(CheckIPOSupported)

function(dp_enable_hardening)
  check_pie_supported(LANGUAGES C)
  set(places "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=;-ffile-prefix-map=${PROJECT_BINARY_DIR}=build")
  add_compile_options(
    -fstack-protector-strong
    "$<$<CONFIG:Release>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2;${places}>")
  add_link_options(
    -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
    "$<$<CONFIG:Release>:${places}>")
endfunction()

# dp_optimize_link(<target>): optimize across files in Release, where the compiler can. gcc's objects keep
# their machine code beside the intermediate one, so that a test links in an instant without it.
function(dp_optimize_link target)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Release" OR DAVENPORT_SANITIZE OR DAVENPORT_FUZZ)
    return()
  endif()
  if(NOT DEFINED DAVENPORT_IPO)
    check_ipo_supported(RESULT supported OUTPUT why LANGUAGES C)
    if(NOT supported)
      message(STATUS "No link-time optimization: ${why}")
    endif()
    set(DAVENPORT_IPO ${supported} CACHE INTERNAL "link-time optimization works")
  endif()
  if(DAVENPORT_IPO)
    set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
    target_compile_options(${target} PRIVATE $<$<C_COMPILER_ID:GNU>:-ffat-lto-objects>)
  endif()
endfunction()
