# A layer is one folder of src/ and one static library, davenport_<name> (alias davenport::<name>).
#
# dp_layer(<name> [LAYERS <layer>...] [LIBS <target>...] [EXCLUDE <file>...])
#   Make the library of src/<name>/*.c. A folder without sources makes none, and is dropped from the link
#   lists of the layers above it. LAYERS lists only layers declared earlier, so there are no circles.

function(dp_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LAYERS;LIBS;EXCLUDE")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.c")
  foreach(file IN LISTS arg_EXCLUDE)
    list(REMOVE_ITEM sources "${PROJECT_SOURCE_DIR}/src/${name}/${file}")
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_library(davenport_${name} STATIC ${sources})
  add_library(davenport::${name} ALIAS davenport_${name})
  dp_own_sources(davenport_${name})
  dp_optimize_link(davenport_${name})
  foreach(layer IN LISTS arg_LAYERS)
    if(TARGET davenport_${layer})
      target_link_libraries(davenport_${name} PUBLIC davenport_${layer})
    endif()
  endforeach()
  target_link_libraries(davenport_${name} PUBLIC ${arg_LIBS})
endfunction()

# dp_executable(<name> <source> LAYER <layer>): a program of one source file on top of one layer. Made only
# when both the file and the layer exist.
function(dp_executable name source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "LAYER" "")
  file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${source}")
  if(NOT found OR NOT TARGET davenport_${arg_LAYER})
    return()
  endif()
  add_executable(${name} "${found}")
  dp_own_sources(${name})
  dp_optimize_link(${name})
  target_link_libraries(${name} PRIVATE davenport_${arg_LAYER})
endfunction()

# dp_add_folder(<folder>): add_subdirectory once the folder has a CMakeLists.txt.
function(dp_add_folder folder)
  file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/CMakeLists.txt")
  if(found)
    add_subdirectory("${PROJECT_SOURCE_DIR}/${folder}" "${PROJECT_BINARY_DIR}/${folder}")
  endif()
endfunction()
